/* same_soname_part.c: an ordinary library, no component, that a component of its version is linked with.
 * See same_soname.c.
 */
#include "trap.h"

int version_of_the_part(void) { return TRAP_VERSION; }
