#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// Each returns NULL, or a message that the caller frees.

// consilium_script_load reads an archive of torch.jit.save from memory that need not outlive the call.
char *consilium_script_load(void **out, const void *data, size_t size);
// consilium_script_operators gives the kinds of all nodes that the module's forward reaches, each once and ended by a
// newline, in memory that the caller frees, and the number of arguments that forward takes beside the module.
char *consilium_script_operators(void *module, char **kinds, int *arguments);
// consilium_script_forward calls forward with n tensors. What is no tensor is an error.
char *consilium_script_forward(void **out, void *module, void **inputs, int n);
void consilium_script_free(void *module);

#ifdef __cplusplus
}
#endif
