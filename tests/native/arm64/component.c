/* A component of the original's kind, as far as registering goes: the dynamic loader runs its constructor. */
#include <stddef.h>

struct lcr_comp {
	void *ifaces;
	size_t iface_count;
};
int lcr_component_register(struct lcr_comp *comp);

struct lcr_comp component = {NULL, 3};

__attribute__((constructor)) static void register_it(void)
{
	lcr_component_register(&component);
}
