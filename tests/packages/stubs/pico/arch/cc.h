#pragma once
#include "examples/firmware/arch/cc.h"
typedef int sys_prot_t; // sys_arch_protect does nothing with NO_SYS
