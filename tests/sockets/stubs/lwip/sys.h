// What ports/rtpush_sockets.h uses of lwIP's header of this name.

#ifndef STUB_LWIP_SYS_H
#define STUB_LWIP_SYS_H

#include <stdint.h>

typedef int sys_prot_t;

#ifdef __cplusplus
extern "C" {
#endif
uint32_t sys_now(void);
sys_prot_t sys_arch_protect(void);
void sys_arch_unprotect(sys_prot_t pval);
#ifdef __cplusplus
}
#endif

#endif // STUB_LWIP_SYS_H
