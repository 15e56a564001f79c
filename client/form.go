package client

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ListStyle says how lists are written in a query or a form. Servers differ in what they
// understand.
type ListStyle uint8

// The styles, with what ids of 1 and 2 become. Inside of lists only Indexed has lists and
// maps.
const (
	Repeated ListStyle = iota // ids=1&ids=2
	Brackets                  // ids[]=1&ids[]=2
	Indexed                   // ids[0]=1&ids[1]=2
	Commas                    // ids=1,2
)

// Limits of [ListStyle.Encode].
const (
	maxFormDepth = 32       // maps and lists in each other
	maxFormBytes = 16 << 20 // of the result
)

// FormError is the error of what cannot be written into a query or a form.
type FormError struct {
	// Name is the name of the parameter, "" if it is not about one.
	Name string

	// Reason says what is wrong.
	Reason string
}

// Error implements the error interface.
func (e *FormError) Error() string {
	if e.Name == "" {
		return "client: form: " + e.Reason
	}
	return fmt.Sprintf("client: form: parameter %q: %s", e.Name, e.Reason)
}

// Encode encodes parameters as a query or a form (application/x-www-form-urlencoded, in
// UTF-8), with lists as [Repeated]. See [ListStyle.Encode].
func Encode(params any) (string, error) { return Repeated.Encode(params) }

// Encode encodes parameters as a query or a form (application/x-www-form-urlencoded, in
// UTF-8). They are a map whose keys are strings or integers, [url.Values] among them. A
// value is
//
//   - a string, boolean, integer or float, written like fmt.Print does, except that floats
//     have no exponent; or a pointer or an interface to a value,
//   - a [time.Time], as of RFC 3339 with its fraction of a second,
//   - an [encoding.TextMarshaler] or a [fmt.Stringer], which write themselves,
//   - a []byte, which is text,
//   - a slice or an array: a list in style s, or one empty value if it is empty,
//   - a map, for which its key stands in brackets: "a[b]=1",
//   - nil, which is left out, in lists too.
//
// The result is sorted by key, so it is always the same. What is deeper than 32 maps and
// lists or longer than 16 MiB, and any other value, is a *[FormError].
func (s ListStyle) Encode(params any) (string, error) {
	if s > Commas {
		return "", &FormError{Reason: "unknown style of lists"}
	}
	v := indirect(reflect.ValueOf(params))
	if !v.IsValid() {
		return "", nil
	}
	if v.Kind() != reflect.Map {
		return "", &FormError{Reason: fmt.Sprintf("a %v is not a map of parameters", v.Type())}
	}
	w := formWriter{style: s}
	err := w.members("", v, 0)
	if err != nil {
		return "", err
	}
	return w.b.String(), nil
}

// formWriter writes parameters.
type formWriter struct {
	style ListStyle
	b     strings.Builder
}

// members writes the values of a map. Its name is "" at the top.
func (w *formWriter) members(name string, m reflect.Value, depth int) error {
	keys := make([]string, 0, m.Len())
	values := make(map[string]reflect.Value, m.Len())
	for it := m.MapRange(); it.Next(); {
		key, err := formKey(it.Key())
		if err != nil {
			return &FormError{name, err.Error()}
		}
		if _, twice := values[key]; twice {
			return &FormError{name, "two keys with the same text"}
		}
		keys = append(keys, key)
		values[key] = it.Value()
	}
	slices.Sort(keys)
	for _, key := range keys {
		inner := key
		if name != "" || depth > 0 {
			inner = name + "[" + key + "]"
		}
		if err := w.value(inner, values[key], depth+1); err != nil {
			return err
		}
	}
	return nil
}

// formKey returns the text of a map's key.
func formKey(key reflect.Value) (string, error) {
	switch key.Kind() {
	case reflect.Interface:
		return formKey(key.Elem())
	case reflect.String:
		return key.String(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(key.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(key.Uint(), 10), nil
	}
	return "", errors.New("a key that is neither a string nor an integer")
}

// value writes what has the given name.
func (w *formWriter) value(name string, v reflect.Value, depth int) error {
	v = indirect(v)
	if !v.IsValid() {
		return nil
	}
	if depth > maxFormDepth {
		return &FormError{"", fmt.Sprintf("more than %d maps and lists in each other", maxFormDepth)}
	}
	text, ok, err := formText(v)
	switch {
	case err != nil:
		return &FormError{name, err.Error()}
	case ok:
		return w.param(name, text)
	}
	switch v.Kind() {
	case reflect.Map:
		return w.members(name, v, depth)
	case reflect.Slice, reflect.Array:
		return w.list(name, v, depth)
	}
	return &FormError{name, fmt.Sprintf("a %v has no text", v.Type())}
}

// list writes a list. One that is empty becomes an empty value: "there are none" is not
// the same as nothing.
func (w *formWriter) list(name string, v reflect.Value, depth int) error {
	if w.style == Commas {
		return w.commas(name, v)
	}
	if v.Len() == 0 {
		return w.param(w.itemName(name, -1), "")
	}
	for i := range v.Len() {
		item := indirect(v.Index(i))
		if w.style != Indexed && item.IsValid() && isNested(item) {
			return &FormError{name, "a map or list in a list, which only the style Indexed has"}
		}
		if err := w.value(w.itemName(name, i), item, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// itemName returns the name of an item of a list; -1 is the index of none.
func (w *formWriter) itemName(name string, i int) string {
	switch {
	case w.style == Brackets:
		return name + "[]"
	case w.style == Indexed && i >= 0:
		return name + "[" + strconv.Itoa(i) + "]"
	}
	return name
}

// commas writes a list as one value.
func (w *formWriter) commas(name string, v reflect.Value) error {
	var items []string
	for i := range v.Len() {
		item := indirect(v.Index(i))
		if !item.IsValid() {
			continue
		}
		text, ok, err := formText(item)
		switch {
		case err != nil:
			return &FormError{name, err.Error()}
		case !ok:
			return &FormError{name, "a map or list in a list, which only the style Indexed has"}
		case strings.Contains(text, ","):
			return &FormError{name, "a comma in an item of a list with commas"}
		}
		items = append(items, text)
	}
	return w.param(name, strings.Join(items, ","))
}

// param writes a parameter.
func (w *formWriter) param(name, text string) error {
	if w.b.Len() > 0 {
		w.b.WriteByte('&')
	}
	if len(name) > maxFormBytes-w.b.Len() || len(text) > maxFormBytes-w.b.Len()-len(name) {
		return errFormBytes
	}
	w.b.WriteString(url.QueryEscape(name))
	w.b.WriteByte('=')
	w.b.WriteString(url.QueryEscape(text))
	if w.b.Len() > maxFormBytes {
		return errFormBytes
	}
	return nil
}

var errFormBytes = &FormError{"", fmt.Sprintf("longer than %d bytes", maxFormBytes)}

// indirect returns what pointers and interfaces lead to, nothing if they are nil. It stops
// at what has a text of its own.
func indirect(v reflect.Value) reflect.Value {
	for range maxFormDepth { // more point in circles
		switch v.Kind() {
		case reflect.Interface:
		case reflect.Pointer:
			if !v.IsNil() && hasText(v) {
				return v
			}
		case reflect.Map, reflect.Slice:
			if v.IsNil() && !hasText(v) {
				return reflect.Value{}
			}
			return v
		default:
			return v
		}
		v = v.Elem()
	}
	return v
}

func hasText(v reflect.Value) bool {
	if !v.CanInterface() {
		return false
	}
	switch v.Interface().(type) {
	case encoding.TextMarshaler, fmt.Stringer:
		return true
	}
	return false
}

// isNested reports whether v becomes several parameters.
func isNested(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Map, reflect.Array:
		return !hasText(v)
	case reflect.Slice:
		return !hasText(v) && v.Type().Elem().Kind() != reflect.Uint8
	}
	return false
}

// formText returns the text of a value, or that it has none.
func formText(v reflect.Value) (text string, ok bool, err error) {
	if v.CanInterface() {
		switch x := v.Interface().(type) {
		case time.Time:
			return x.Format(time.RFC3339Nano), true, nil
		case encoding.TextMarshaler:
			b, err := x.MarshalText()
			return string(b), true, err
		case fmt.Stringer:
			return x.String(), true, nil
		}
	}
	switch v.Kind() {
	case reflect.String:
		return v.String(), true, nil
	case reflect.Bool:
		return strconv.FormatBool(v.Bool()), true, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), true, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.FormatUint(v.Uint(), 10), true, nil
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'f', -1, v.Type().Bits()), true, nil
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return string(v.Bytes()), true, nil
		}
	}
	return "", false, nil
}

// AddQuery adds parameters to the query of u, behind those it has, and leaves u as it is
// if they cannot be encoded. See [Encode].
func AddQuery(u *url.URL, params any) error {
	query, err := Encode(params)
	if err != nil {
		return err
	}
	if u.RawQuery != "" && query != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += query
	return nil
}

// NewFormRequest returns a request with parameters as its content, a form in UTF-8. See
// [Encode]. Its content can be sent again, when the request is redirected for example.
func NewFormRequest(ctx context.Context, method, url string, params any) (*http.Request, error) {
	form, err := Encode(params)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r, nil
}
