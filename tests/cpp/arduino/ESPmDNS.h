#ifndef T_ESPMDNS_H
#define T_ESPMDNS_H

struct MDNSResponder {
    bool begin(const char *) { return true; }
};
static MDNSResponder MDNS;

#endif // T_ESPMDNS_H
