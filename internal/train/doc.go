// Package train fits the models that the project trains itself, one recipe a file.
package train
