package main

import "testing"

func lookAtImage(t *testing.T, dir string) {}
