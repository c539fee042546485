/* Loads the shim (argv[1]) as Python does, uses all that it has, then loads a component (argv[2]) that registers itself. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RING = 65536, THREADS = 4, EACH = 10000 };

struct shim {
	char magic[8];
	uint64_t registered;
	void *reference, *release;
	void *ring[RING];
};

static struct shim *shim;
static int (*reg)(void *);

static void check(int is_so, const char *what)
{
	printf("%s: %s\n", is_so ? "ok" : "FAILED", what);
	if (!is_so)
		exit(1);
}

static void *find(const char *name)
{
	void *found = dlsym(RTLD_DEFAULT, name);
	check(found != NULL, name);
	return found;
}

static int reference(uint64_t *handle, const char *name, int version, void **interface, void *context)
{
	*handle = 0xfedcba9876543210;
	*interface = context;
	return strcmp(name, "A0") == 0 && version == -7 ? 41 : 0;
}

static int release(uint64_t handle)
{
	return handle == 0xfedcba9876543210 ? 42 : 0;
}

static void *register_many(void *first)
{
	for (uintptr_t n = 0; n < EACH; n++)
		reg((char *)first + n);
	return NULL;
}

static int ascending(const void *a, const void *b)
{
	uintptr_t one = *(const uintptr_t *)a, other = *(const uintptr_t *)b;
	return (one > other) - (one < other);
}

static void check_threads(void)
{
	pthread_t threads[THREADS];
	for (uintptr_t n = 0; n < THREADS; n++)
		pthread_create(&threads[n], NULL, register_many, (void *)(1000000 + n * EACH));
	for (int n = 0; n < THREADS; n++)
		pthread_join(threads[n], NULL);
	check(shim->registered == 2 + THREADS * EACH, "four threads at once are all counted");
	qsort(shim->ring + 2, THREADS * EACH, sizeof(void *), ascending);
	int is_whole = 1;
	for (uintptr_t n = 0; n < THREADS * EACH; n++)
		is_whole &= shim->ring[2 + n] == (void *)(1000000 + n);
	check(is_whole, "and each of their addresses is there once");
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	void *handle = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
	check(handle != NULL, handle ? "the shim is loaded" : dlerror());
	shim = find("lcr_shim");
	reg = find("lcr_component_register");
	void (*set)(void *, void *) = find("lcr_interfaces_set");
	int (*refer)(uint64_t *, const char *, int, void **, void *) = find("lcr_ifact_reference");
	int (*give_up)(uint64_t) = find("lcr_ifact_release");
	check(memcmp(shim->magic, "lcrshim1", 8) == 0 && shim->registered == 0, "its state is as it should begin");

	check(reg(&handle) == 0 && reg(&shim) == 0, "registering returns 0");
	check(shim->registered == 2 && shim->ring[0] == &handle && shim->ring[1] == &shim, "both are noted, in order");
	check(shim->ring[2] == NULL && shim->reference == NULL, "and nothing else is touched");
	check_threads();
	while (shim->registered < RING)
		reg(NULL);
	reg(&handle);
	check(shim->registered == RING + 1 && shim->ring[0] == &handle, "a full ring begins anew");

	void *interface[10] = {0};
	set(interface, &handle);
	check(interface[8] == &handle && !interface[7] && !interface[9], "lcr_interfaces_set fills the field at 64");

	uint64_t number = 0;
	void *functions = NULL;
	check(refer(&number, "A0", -7, &functions, &handle) == -1, "a reference that nobody answers fails");
	check(give_up(1) == -1, "and so does a release");
	shim->reference = reference;
	shim->release = release;
	check(refer(&number, "A0", -7, &functions, &handle) == 41, "a reference is answered through its slot");
	check(number == 0xfedcba9876543210 && functions == &handle, "with all five arguments");
	check(give_up(number) == 42, "and a release through the other, with all of its 64 bits");

	uint64_t before = shim->registered;
	void *component = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
	check(component != NULL, component ? "a component is loaded" : dlerror());
	check(shim->registered == before + 1, "its constructor has registered one more");
	check(shim->ring[before % RING] == dlsym(component, "component"), "which is its own");
	check(dlclose(handle) == 0 && dlsym(RTLD_DEFAULT, "lcr_shim") == shim, "closing the shim does not take it away");
	return 0;
}
