/* trap.h: what a trap may define. Each is in trap.c too, where it does nothing: a trap defines those that it is about. */
#ifndef TRAP_H
#define TRAP_H

#ifdef __cplusplus
extern "C" {
#endif

#ifndef TRAP_VERSION
#define TRAP_VERSION 1
#endif

int trap_construct(void);  /* the constructor: 0, or it fails */
void trap_destruct(void);  /* the destructor */
int trap_call(int number); /* the function `int call(int)`; in trap.c it returns 1000 * TRAP_VERSION + number */

#ifdef __cplusplus
}
#endif

#endif
