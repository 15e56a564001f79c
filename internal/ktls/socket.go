package ktls

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of linux/tls.h.
const (
	optionTX      = 1 // TLS_TX
	setRecordType = 1 // TLS_SET_RECORD_TYPE
	cipherAES128  = 51
	cipherAES256  = 52
	sequenceBytes = 8 // rec_seq, the last field of tls12_crypto_info_*
)

// attach has the kernel seal what is sent from now on, from keys on; what was sent before
// goes its way as it is. A socket on which it fails is as it was.
func attach(fd int, k *keys) error {
	if err := unix.SetsockoptString(fd, unix.SOL_TCP, unix.TCP_ULP, "tls"); err != nil {
		return fmt.Errorf("TCP_ULP: %w", err)
	}
	return setKeys(fd, k.info())
}

// setKeys gives the kernel the first keys, or others.
func setKeys(fd int, info []byte) error {
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_TLS, optionTX,
		uintptr(unsafe.Pointer(&info[0])), uintptr(len(info)), 0)
	runtime.KeepAlive(info)
	if errno != 0 {
		return fmt.Errorf("TLS_TX: %w", errno)
	}
	return nil
}

// sequence returns the number of the record that the kernel is going to seal next.
func sequence(fd int, s *suite) (uint64, error) {
	info := make([]byte, s.infoBytes())
	n := uint32(len(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_TLS, optionTX,
		uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return 0, errno
	}
	return binary.BigEndian.Uint64(info[len(info)-sequenceBytes:]), nil
}

var errClosed = errors.New("the connection is closed")

var errMoving = errors.New("acknowledgements come faster than they can be counted")

// passed returns how many bytes a socket has been given, from some start on: those
// acknowledged and those in its queue.
func passed(fd int) (uint64, error) {
	acked, err := acknowledged(fd)
	if err != nil {
		return 0, err
	}
	for range 8 {
		queued, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		if err != nil {
			return 0, err
		}
		before := acked
		if acked, err = acknowledged(fd); err != nil {
			return 0, err
		}
		if acked == before {
			return acked + uint64(queued), nil
		}
	}
	return 0, errMoving
}

func acknowledged(fd int) (uint64, error) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO)
	if err == nil && info.State == tcpClose {
		err = errClosed
	}
	if err != nil {
		return 0, err
	}
	return info.Bytes_acked, nil
}

const tcpClose = 7 // TCP_CLOSE of linux/tcp_states.h

// control sends a record that is not application data, without waiting.
func control(fd int, kind byte, content []byte) error {
	const space = unix.SizeofCmsghdr + 8 // one byte of data, aligned
	var oob [space]byte
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
	h.Level, h.Type = unix.SOL_TLS, setRecordType
	h.SetLen(unix.CmsgLen(1))
	oob[unix.CmsgLen(0)] = kind
	n, err := unix.SendmsgN(fd, content, oob[:unix.CmsgSpace(1)], nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if err == nil && n != len(content) {
		err = errors.New("the kernel took a part of a record")
	}
	return err
}
