/* lcr_component.h: a component for lcr, written in C or in any language that can fill in a C structure.
 *
 * A library exports one constant, `lcr_component`, that describes all that it offers. lcr reads it from the file, so that
 * nothing of a library runs before it is wanted. Every structure that may grow begins with its own size: a library built with
 * an older header goes on working, and what it does not have counts as 0.
 *
 * Build it with the flags that `lcr native cflags` prints. `lcr native new NAME` writes an example that builds with `make`.
 */
#ifndef LCR_COMPONENT_H
#define LCR_COMPONENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LCR_ABI 1

/* What a constructor is handed by the host. It is valid until the destructor has returned. All of it may be called from
 * any thread, but not from code that the dynamic loader runs, and not after the destructor. */
struct lcr_services {
	uint32_t size; /* of this structure, as the host knows it */
	uint32_t is_trial; /* 1 in the child process in which a candidate is tried: have no effects outside of it */
	void *host; /* the first argument of the functions below */

	/* Tells the host something: it becomes a record of Python's logger "lcr". The last error of a constructor, an import or a
	 * self-test that fails is the reason that its user reads. */
	void (*log)(void *host, int level, const char *text);

	/* References an interface by name and range of versions (NULL or "": any), so that `functions` has, for each of the `count`
	 * signatures such as "int add(int, int)", a function of that type; they stay valid, whatever serves, until they are
	 * released. Returns 0 and a handle; or another value, and then nothing is referenced and the reason is logged. */
	int (*reference)(void *host, const char *name, const char *range, const char *const *signatures, size_t count,
			void (**functions)(void), uint64_t *handle);

	/* Releases a handle. Returns 0; or another value for one that is not held, which does nothing. */
	int (*release)(void *host, uint64_t handle);
};

enum lcr_level { LCR_DEBUG = 10, LCR_INFO = 20, LCR_WARNING = 30, LCR_ERROR = 40 };

/* Where a component writes its state to: write(to, data, size) as often as it likes. It returns 0, or -1 when it should stop. */
struct lcr_writer {
	uint32_t size;
	uint32_t schema; /* to write it in: the interface's own, or an older one down to `schema_writes` */
	void *to;
	int (*write)(void *to, const void *data, size_t size);
};

/* One function. Its first argument is what the constructor made; `signature` leaves that out: "int(int, int)" for
 * `int add(void *self, int a, int b)`. Names may stand in it, "int(int a, int b)": then callers may use them, and they are as binding as the types.
 * A `const char *` is text or bytes up to a NUL, and NULL is none; a result of that type is copied on the thread that called,
 * as soon as the function has returned. Functions are called from many threads at once: let such a result be constant, or lie
 * in memory of the thread's own (_Thread_local), not in memory that another thread's call changes. */
struct lcr_function {
	const char *name;
	const char *signature;
	void (*function)(void);
};

/* Another interface that is referenced before the constructor runs, and released after the destructor. Its functions are
 * what `services->reference` gives for the same name and range. */
struct lcr_requirement {
	const char *name;
	const char *range; /* such as ">=1,<2"; NULL: any version */
};

enum lcr_flag {
	LCR_PER_REFERENCE = 1, /* one instance for each reference, instead of one that all of them share */
	LCR_CONCURRENT = 2     /* another version that says so too may work beside this one, on the same state if need be */
};

/* One version of one interface. */
struct lcr_interface {
	uint32_t size;
	uint32_t flags;
	const char *name;
	const char *version;  /* such as "1.2", or a number */
	const char *replaces; /* which versions it may stand in for, such as ">=1,<2"; NULL: all lower ones of the same major */
	uint32_t schema;      /* of the state that it exports; 0 counts as 1 */
	uint32_t schema_oldest; /* the oldest that it can import; 0: only its own */
	const struct lcr_function *functions;
	size_t function_count;
	const struct lcr_requirement *requirements;
	size_t requirement_count;

	/* Makes an instance. `context` is what the reference gave: `context_size` bytes of bytes or text, which are there only
	 * until this returns, or a number or a pointer and 0. `*self` is NULL until it is set, and may remain so. Returns 0;
	 * anything else fails the reference or the replacement, and no destructor is called. */
	int (*constructor)(const struct lcr_services *services, const void *context, size_t context_size, void **self);
	/* Ends it. NULL: there is nothing to do. */
	void (*destructor)(void *self);

	/* Writes the state, while nobody is inside; it only reads. NULL together with `state_import`: it has none. Returns 0. */
	int (*state_export)(void *self, const struct lcr_writer *writer);
	/* Takes over a state that a version with this schema exported: `size` bytes at any address, so copy numbers out of them
	 * with memcpy(); they are there only until this returns. Returns 0; anything else and the old version serves on. */
	int (*state_import)(void *self, uint32_t schema, const void *data, size_t size);

	/* Looks whether it works: after the constructor, and again in the trial after the import. NULL: it has none. Returns 0. */
	int (*self_test)(void *self);

	/* The oldest schema that `state_export` can write, so that an older version can be gone back to; 0: only its own. */
	uint32_t schema_writes;
	uint32_t reserved;
};

/* What the library offers. */
struct lcr_component {
	uint32_t size;
	uint32_t abi; /* LCR_ABI */
	const char *about; /* one line for people, or NULL */
	const struct lcr_interface *const *interfaces;
	size_t interface_count;
};

#if defined(__GNUC__)
#define LCR_EXPORT __attribute__((visibility("default")))
#else
#define LCR_EXPORT
#endif

/* Exported by every component, once. In C++ this declaration makes its definition extern "C" and visible. */
extern LCR_EXPORT const struct lcr_component lcr_component;

/* An array and the number of its elements, for two fields or two arguments that follow one another: `.functions =
 * LCR_ARRAY(functions)`. In C++ designated fields are set one by one: `.functions = functions, .function_count = ...`. */
#define LCR_ARRAY(array) (array), sizeof(array) / sizeof((array)[0])
/* An entry of an array of `struct lcr_function`, for a function of any type. */
#define LCR_FUNCTION(name, signature, function) {(name), (signature), (void (*)(void))(function)}

#ifdef __cplusplus
}
#endif

#endif
