/* static_main.c: a Python interpreter that has the components of liba.c and libb.c linked in, so nothing is loaded for them.
 *
 * They register themselves before main() runs, with the liblcr.so.4 that this program is linked with. Run it like python3:
 *
 *     ./embedded program.py --linked
 */
#include <Python.h>

int main(int argc, char **argv)
{
	argv[0] = PYTHON; /* whose packages it uses, among them lcr: set by the Makefile */
	return Py_BytesMain(argc, argv);
}
