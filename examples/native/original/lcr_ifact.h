/* lcr_ifact.h: how C references an interface of the original LCR (openais, corosync), for programs that include that name.
 *
 * It is written for lcr. The two functions are provided by the process; they ask the host that the calling component is in.
 */
#ifndef LCR_IFACT_H_DEFINED
#define LCR_IFACT_H_DEFINED

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t hdb_handle_t;

/* References exactly this version of an interface: `*interface` is its table of functions until the handle is released. The
 * constructor has run with the context. Returns 0; or another value, and then nothing is referenced. */
int lcr_ifact_reference(hdb_handle_t *handle, const char *name, int version, void **interface, void *context);

/* Releases a handle: the destructor has run with the context. Returns 0; or another value for one that is not held. */
int lcr_ifact_release(hdb_handle_t handle);

#ifdef __cplusplus
}
#endif

#endif
