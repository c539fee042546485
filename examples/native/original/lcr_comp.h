/* lcr_comp.h: what a component of the original LCR (openais, corosync) consists of, for programs that include that name.
 *
 * It is written for lcr, from the layout that such a library has in memory, so a library built with the original's own
 * header and one built with this are the same. New components are better written for lcr_component.h, which tells more.
 */
#ifndef LCR_COMP_H_DEFINED
#define LCR_COMP_H_DEFINED

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One version of one interface. */
struct lcr_iface {
	const char *name;
	int version;
	int *versions_replace; /* the versions that this one may stand in for */
	int versions_replace_count;
	char **dependencies; /* names of interfaces that are referenced before the constructor runs */
	size_t dependency_count;
	int (*constructor)(void *context); /* at each reference, with its context; 0, or the reference fails */
	void (*destructor)(void *context); /* at its release, with the same */
	void **interfaces; /* the table of functions: set with lcr_interfaces_set() */
};

/* What a library offers. It may register several. */
struct lcr_comp {
	struct lcr_iface *ifaces;
	size_t iface_count;
};

/* Called by the library, in a function with __attribute__((constructor)); provided by the process that loads it. */
int lcr_component_register(struct lcr_comp *comp);

static inline void lcr_interfaces_set(struct lcr_iface *iface, void *functions)
{
	iface->interfaces = (void **)functions;
}

#ifdef __cplusplus
}
#endif

#endif
