//go:build !unix

package main

// raiseOpenFiles has nothing to raise here.
func raiseOpenFiles() {}
