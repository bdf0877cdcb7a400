// Package tensor runs libtorch operators on threads that it owns and returns every error.
//
// It sits directly on gotch's libtch binding and is the only package that imports gotch. gotch's own tensor type
// leaks memory with every operator and ends the process on an error; here an Arena frees what a computation made,
// and an operator that fails abandons the computation, whose caller gets an error.
//
// libtorch keeps its last error, its grad mode and its OpenMP team per operating system thread, while goroutines
// wander between threads. So an Engine is one goroutine locked to one thread, and everything happens inside
// Engine.Do:
//
//	err := engine.Do(ctx, func(a *tensor.Arena) error {
//		x := a.FromFloat32(values, 2, 3)  // (2, 3)
//		y := a.Softmax(a.Matmul(x, w), 1) // (2, 5)
//		out = a.Float32s(y)
//		return nil
//	})
package tensor
