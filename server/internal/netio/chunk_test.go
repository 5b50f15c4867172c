package netio

import "testing"

func TestChunkGoesBackOnce(t *testing.T) {
	t.Parallel()
	ck := newChunk(10)
	ck.retain()
	ck.release()
	ck.release()
	defer func() {
		if recover() == nil {
			t.Error("a chunk was released twice without a panic")
		}
	}()
	ck = makeChunk(10, nil)
	ck.release()
	ck.release()
}
