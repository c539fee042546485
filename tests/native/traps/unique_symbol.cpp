// unique_symbol.cpp: has a variable that GNU_UNIQUE makes one for the whole process: every version counts in the first's,
// and the first is never unloaded. g++ does that for static variables of templates, unless it is told -fno-gnu-unique.
#include "trap.h"

template <typename T> struct Shared {
	static int calls;
};

template <typename T> int Shared<T>::calls = 0;

int trap_call(int number) { return number + ++Shared<int>::calls; }
