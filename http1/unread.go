package http1

import "strconv"

// AppendUnread appends what, with the input that b has not consumed behind it, is the
// rest of a chunked body: content is the part that b has decoded and nobody has used.
// It is for one who takes over a connection in the middle of a body. Extensions of a
// chunk are replaced, and content comes in one chunk.
//
// Where content is empty and b stands right behind the data of a chunk, the rest
// begins with the CRLF of that chunk.
func (b *Body) AppendUnread(dst, content []byte) []byte {
	switch b.state {
	case chunkData:
		dst = AppendChunkHeader(dst, len(content)+int(b.remain))
		return append(dst, content...)
	case chunkDataCR, chunkDataLF:
		dst = append(AppendChunkHeader(dst, len(content)), content...)
		if b.state == chunkDataLF {
			dst = append(dst, '\r')
		}
		return dst
	}
	dst = AppendChunk(dst, content)
	switch b.state {
	case bodyDone, trailerFields:
		dst = append(AppendTrailerStart(dst), b.trailer...)
		if b.state == bodyDone && len(b.trailer) == 0 {
			dst = AppendEnd(dst)
		}
	case trailerStart, trailerLF:
		dst = AppendTrailerStart(dst)
		if b.state == trailerLF {
			dst = append(dst, '\r')
		}
	default:
		for range int(b.digits) - len(strconv.FormatInt(b.remain, 16)) {
			dst = append(dst, '0')
		}
		if b.digits > 0 {
			dst = strconv.AppendInt(dst, b.remain, 16)
		}
		dst = append(dst, unreadExt[b.state]...)
	}
	return dst
}

// unreadExt is what leads from a chunk size to a state in its line.
var unreadExt = [...]string{
	chunkSize:          "",
	chunkExtSpace:      " ",
	chunkExtNameStart:  ";",
	chunkExtName:       ";a",
	chunkExtNameSpace:  ";a ",
	chunkExtValueStart: ";a=",
	chunkExtValue:      ";a=b",
	chunkExtQuoted:     ";a=\"",
	chunkExtEscape:     ";a=\"\\",
	chunkExtQuotedEnd:  ";a=\"\"",
	chunkSizeLF:        "\r",
}
