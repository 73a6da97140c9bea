#ifndef SIM_RULES_H
#define SIM_RULES_H
typedef struct s_rule { const char *name; void (*run)(void);} s_rule;
static const s_rule rules[] = {{NULL, NULL}};
#endif
