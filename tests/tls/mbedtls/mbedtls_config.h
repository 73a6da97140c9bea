// mbedtls_config.h - mbedTLS 3.6 as the tests build it, and an example of a small
// server: ECDHE, ECDSA and RSA, AES-GCM and ChaCha20, TLS 1.2 and 1.3. No sockets, no files,
// no timers. tests/tls/mbedtls.sh chooses by T_...

#ifndef T_MBEDTLS_CONFIG_H
#define T_MBEDTLS_CONFIG_H

// Records: bytes of plaintext.
#ifndef T_IN
#define T_IN 16384
#define T_OUT 2048
#endif
#define MBEDTLS_SSL_IN_CONTENT_LEN T_IN
#define MBEDTLS_SSL_OUT_CONTENT_LEN T_OUT

// Protocols.
#define MBEDTLS_SSL_TLS_C
#define MBEDTLS_SSL_SRV_C
#define MBEDTLS_SSL_ALPN
#define MBEDTLS_SSL_ALL_ALERT_MESSAGES
#define MBEDTLS_SSL_MAX_FRAGMENT_LENGTH // RFC 6066 4: for clients that ask for small records
#ifndef T_NO_TICKETS
#define MBEDTLS_SSL_SESSION_TICKETS
#define MBEDTLS_SSL_TICKET_C
#endif
#ifndef T_NO_TLS12
#define MBEDTLS_SSL_PROTO_TLS1_2
#define MBEDTLS_SSL_EXTENDED_MASTER_SECRET
#define MBEDTLS_KEY_EXCHANGE_ECDHE_ECDSA_ENABLED
#ifndef T_NO_RSA
#define MBEDTLS_KEY_EXCHANGE_ECDHE_RSA_ENABLED
#endif
#endif
#ifndef T_NO_TLS13
#define MBEDTLS_SSL_PROTO_TLS1_3
#define MBEDTLS_SSL_TLS1_3_COMPATIBILITY_MODE
#define MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL_ENABLED
#ifndef T_NO_TICKETS
#define MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_EPHEMERAL_ENABLED
#endif
#define MBEDTLS_SSL_KEEP_PEER_CERTIFICATE
#define MBEDTLS_PSA_CRYPTO_C
#define MBEDTLS_HKDF_C
#endif

// Certificates.
#define MBEDTLS_X509_USE_C
#define MBEDTLS_X509_CRT_PARSE_C
#define MBEDTLS_PK_C
#define MBEDTLS_PK_PARSE_C
#define MBEDTLS_ASN1_PARSE_C
#define MBEDTLS_ASN1_WRITE_C
#define MBEDTLS_OID_C
#ifndef T_NO_RSA
#define MBEDTLS_RSA_C
#define MBEDTLS_PKCS1_V15
#define MBEDTLS_PKCS1_V21 // PSS: how RSA signs in TLS 1.3
#define MBEDTLS_X509_RSASSA_PSS_SUPPORT
#endif

// Cryptography.
#define MBEDTLS_BIGNUM_C
#define MBEDTLS_ECP_C
#define MBEDTLS_ECP_DP_SECP256R1_ENABLED
#define MBEDTLS_ECP_DP_CURVE25519_ENABLED
#define MBEDTLS_ECP_NIST_OPTIM
#define MBEDTLS_ECDH_C
#define MBEDTLS_ECDSA_C
#define MBEDTLS_MD_C
#define MBEDTLS_SHA256_C
#define MBEDTLS_CIPHER_C
#define MBEDTLS_CHACHA20_C
#define MBEDTLS_POLY1305_C
#define MBEDTLS_CHACHAPOLY_C
#define MBEDTLS_AES_C
#define MBEDTLS_GCM_C
#define MBEDTLS_AES_ROM_TABLES // not in RAM
#define MBEDTLS_AES_FEWER_TABLES

// The platform: all memory from one array.
#define MBEDTLS_PLATFORM_C
#define MBEDTLS_PLATFORM_MEMORY
#define MBEDTLS_MEMORY_BUFFER_ALLOC_C

#ifdef T_CLIENT // the tests' programs: a client too, time, what the system has of random bytes
#define MBEDTLS_MEMORY_DEBUG // the high water mark
#define MBEDTLS_HAVE_ASM
#define MBEDTLS_SSL_CLI_C
#define MBEDTLS_HAVE_TIME
#define MBEDTLS_HAVE_TIME_DATE
#define MBEDTLS_PLATFORM_TIME_ALT
#define MBEDTLS_PEM_PARSE_C
#define MBEDTLS_BASE64_C
#define MBEDTLS_FS_IO
#define MBEDTLS_ENTROPY_C
#define MBEDTLS_CTR_DRBG_C
#else // firmware: it has mbedtls_psa_external_get_random
#define MBEDTLS_HAVE_ASM
#ifndef T_NO_TLS13
#define MBEDTLS_PSA_CRYPTO_EXTERNAL_RNG
#endif
#endif

#endif
