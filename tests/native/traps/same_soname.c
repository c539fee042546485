/* same_soname.c: is linked with same_soname_part.c, a library of which each version has the same SONAME.
 * The loader takes the part that is there already: version 2 calls the part of version 1.
 */
#include "trap.h"

int version_of_the_part(void);

int trap_call(int number) { return 1000 * version_of_the_part() + number; }
