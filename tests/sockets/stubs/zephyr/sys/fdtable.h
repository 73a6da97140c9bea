// What ports/rtpush_sockets.h uses of Zephyr's header of this name.

#ifndef STUB_ZEPHYR_FDTABLE_H
#define STUB_ZEPHYR_FDTABLE_H

#define ZVFS_F_SETFL 4
#define ZVFS_O_NONBLOCK 0x4000

#endif // STUB_ZEPHYR_FDTABLE_H
