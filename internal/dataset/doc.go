// Package dataset reads the labelled sets that models are trained and measured on.
package dataset
