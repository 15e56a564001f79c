package http1

// Method is a request method that RFC 9110, section 9, or RFC 5789 defines, or
// Other. Methods are case-sensitive.
type Method uint8

// The methods. Any other token is accepted too, and is Other.
const (
	Other Method = iota
	GET
	HEAD
	POST
	PUT
	DELETE
	CONNECT
	OPTIONS
	TRACE
	PATCH
)

var methodNames = [...]string{"other", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

// String returns the method as it stands in a request line, and "other" for
// Other.
func (m Method) String() string {
	if int(m) < len(methodNames) {
		return methodNames[m]
	}
	return methodNames[Other]
}

// MethodOf returns the method with the given name, as it stands in a request line.
func MethodOf[T ~string | ~[]byte](name T) Method {
	switch string(name) {
	case "GET":
		return GET
	case "HEAD":
		return HEAD
	case "POST":
		return POST
	case "PUT":
		return PUT
	case "DELETE":
		return DELETE
	case "CONNECT":
		return CONNECT
	case "OPTIONS":
		return OPTIONS
	case "TRACE":
		return TRACE
	case "PATCH":
		return PATCH
	}
	return Other
}
