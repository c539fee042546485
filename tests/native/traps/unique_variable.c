/* unique_variable.c: the same as unique_symbol.cpp in assembler, for compilers that do not do it in C++, such as clang.
 * Every version counts in the first's variable, and the first is never unloaded.
 */
#include "trap.h"

__asm__(".pushsection .bss\n"
	".balign 4\n"
	".globl calls_of_all_versions\n"
	".type calls_of_all_versions, %gnu_unique_object\n"
	".size calls_of_all_versions, 4\n"
	"calls_of_all_versions: .zero 4\n"
	".popsection\n");

extern __attribute__((visibility("default"))) int calls_of_all_versions;

int trap_call(int number) { return number + ++calls_of_all_versions; }
