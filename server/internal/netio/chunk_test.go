package netio

import "testing"

func TestChunkGoesBackOnce(t *testing.T) {
	t.Parallel()
	ck := NewChunk(10)
	ck.retain()
	ck.Release()
	ck.Release()
	defer func() {
		if recover() == nil {
			t.Error("a chunk was released twice without a panic")
		}
	}()
	ck = makeChunk(10, nil)
	ck.Release()
	ck.Release()
}
