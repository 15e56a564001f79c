package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// insecure is what somebody opts in to.
var insecure = &tls.Config{InsecureSkipVerify: true}

func isUnverified(err error) bool {
	var e *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	return errors.As(err, &e) || errors.As(err, &unknown)
}
