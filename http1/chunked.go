package http1

// parseChunked decodes the chunked coding (RFC 9112, section 7.1) up to the
// data of a chunk, the end of the body, or the end of in. It returns the number
// of bytes it consumed.
func (b *Body) parseChunked(in []byte) (n int, err *Error) {
	for n < len(in) {
		c := in[n]
		switch b.state {
		case chunkSize:
			if class[c]&hexChar != 0 {
				if err := b.addDigit(c); err != nil {
					return 0, err
				}
				break
			}
			if b.digits == 0 || c != '\r' && c != ';' && !isSpace(c) {
				return 0, framingError(c, errChunkSize)
			}
			if err := b.parseExt(c); err != nil {
				return 0, err
			}

		case chunkSizeLF:
			if c != '\n' {
				return 0, errBareCR
			}
			if err := b.startChunk(); err != nil {
				return 0, err
			}

		case chunkData:
			return n, nil

		case chunkDataCR:
			if c != '\r' {
				return 0, framingError(c, errChunkEnd)
			}
			b.state = chunkDataLF

		case chunkDataLF:
			if c != '\n' {
				return 0, errBareCR
			}
			b.state = chunkSize
			b.digits, b.extLine = 0, 0

		case trailerStart:
			if c != '\r' {
				b.state = trailerFields
				continue
			}
			b.state = trailerLF

		case trailerLF:
			if c != '\n' {
				return 0, errBareCR
			}
			b.state = bodyDone

		case trailerFields:
			k, err := b.parseTrailer(in[n:])
			return n + k, err

		case bodyDone:
			return n, nil

		default:
			if err := b.parseExt(c); err != nil {
				return 0, err
			}
		}
		n++
	}
	return n, nil
}

// startChunk begins what the chunk-size line now complete announces.
func (b *Body) startChunk() *Error {
	if b.remain == 0 {
		b.state = trailerStart
		return nil
	}
	if b.remain > b.lim.Body-b.received {
		return errBodyTooLarge
	}
	b.state = chunkData
	return nil
}

// parseExt takes one byte of the chunk extensions (RFC 9112, section 7.1.1), or
// the first byte after the chunk size. Extensions mean nothing here, but are
// checked all the same: recipients that skip them each in their own way
// disagree about where the line ends.
func (b *Body) parseExt(c byte) *Error {
	if c != '\r' {
		b.extLine++
		b.extTotal++
		if b.extLine > b.lim.ChunkExtLine || b.extTotal > b.lim.ChunkExtTotal {
			return errChunkExtTooLarge
		}
	}
	token := class[c]&tokenChar != 0
	switch b.state {
	case chunkSize, chunkExtQuotedEnd:
		return b.endExt(c)

	case chunkExtSpace:
		switch {
		case c == ';':
			b.state = chunkExtNameStart
		case !isSpace(c):
			return framingError(c, errChunkExt)
		}

	case chunkExtNameStart:
		switch {
		case token:
			b.state = chunkExtName
		case !isSpace(c):
			return framingError(c, errChunkExt)
		}

	case chunkExtName:
		switch {
		case token:
		case c == '=':
			b.state = chunkExtValueStart
		case isSpace(c):
			b.state = chunkExtNameSpace
		default:
			return b.endExt(c)
		}

	case chunkExtNameSpace:
		switch {
		case c == ';':
			b.state = chunkExtNameStart
		case c == '=':
			b.state = chunkExtValueStart
		case !isSpace(c):
			return framingError(c, errChunkExt)
		}

	case chunkExtValueStart:
		switch {
		case token:
			b.state = chunkExtValue
		case c == '"':
			b.state = chunkExtQuoted
		case !isSpace(c):
			return framingError(c, errChunkExt)
		}

	case chunkExtValue:
		if !token {
			return b.endExt(c)
		}

	case chunkExtQuoted: // RFC 9110, section 5.6.4
		switch {
		case c == '"':
			b.state = chunkExtQuotedEnd
		case c == '\\':
			b.state = chunkExtEscape
		case !isText(c):
			return framingError(c, errChunkExt)
		}

	case chunkExtEscape:
		if !isText(c) {
			return framingError(c, errChunkExt)
		}
		b.state = chunkExtQuoted
	}
	return nil
}

// endExt takes the byte after a chunk size or a complete extension.
func (b *Body) endExt(c byte) *Error {
	switch {
	case c == '\r':
		b.state = chunkSizeLF
	case c == ';':
		b.state = chunkExtNameStart
	case isSpace(c):
		b.state = chunkExtSpace
	default:
		return framingError(c, errChunkExt)
	}
	return nil
}

// framingError returns the error for a byte that should not be there: err, or a
// more telling one.
func framingError(c byte, err *Error) *Error {
	if c == '\n' {
		return errBareLF
	}
	return err
}
