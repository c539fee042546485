// thread_local.cpp: has a thread-local object with a destructor, which runs when the thread ends.
// Whatever dlclose returns, the library stays until each thread that called it has ended, and something else is closed then.
#include "trap.h"

namespace {

struct Object {
	int calls = 0;
	~Object() { calls = -1; }
};

thread_local Object object;

} // namespace

int trap_call(int number) { return number + ++object.calls; }
