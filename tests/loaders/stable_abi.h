/* What the tests' extension modules need of CPython's stable ABI, written out, so that CPython's headers need not be installed.
   As they are on 64 bits with a GIL: https://docs.python.org/3/c-api/stable.html */
#include <stddef.h>
#include <stdio.h>

typedef struct _object { ptrdiff_t ob_refcnt; void *ob_type; } PyObject;
typedef PyObject *(*PyCFunction)(PyObject *, PyObject *);
typedef struct { const char *ml_name; PyCFunction ml_meth; int ml_flags; const char *ml_doc; } PyMethodDef;
typedef struct { int slot; void *value; } PyModuleDef_Slot;
typedef struct { PyObject ob_base; PyObject *(*m_init)(void); ptrdiff_t m_index; PyObject *m_copy; } PyModuleDef_Base;
typedef struct PyModuleDef {
    PyModuleDef_Base m_base;
    const char *m_name;
    const char *m_doc;
    ptrdiff_t m_size;
    PyMethodDef *m_methods;
    PyModuleDef_Slot *m_slots;
    void *m_traverse, *m_clear, *m_free;
} PyModuleDef;

#define PyModuleDef_HEAD_INIT {{1, NULL}, NULL, 0, NULL}
#define PyMODINIT_FUNC __attribute__((visibility("default"))) PyObject *
#define METH_NOARGS 0x0004
#define METH_O 0x0008
#define Py_mod_exec 2

extern PyObject *PyExc_ValueError;
void Py_DecRef(PyObject *);
PyObject *PyLong_FromLong(long);
PyObject *PyUnicode_FromString(const char *);
PyObject *PyObject_CallNoArgs(PyObject *);
PyObject *PyImport_ImportModule(const char *);
PyObject *PyModuleDef_Init(struct PyModuleDef *);
PyObject *PyModule_Create2(struct PyModuleDef *, int);
int PyModule_AddStringConstant(PyObject *, const char *, const char *);
void PyErr_SetString(PyObject *, const char *);
#define Py_DECREF Py_DecRef
#define PyModule_Create(definition) PyModule_Create2(definition, 1013)
