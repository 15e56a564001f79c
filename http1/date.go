package http1

import "time"

const (
	dayNames   = "SunMonTueWedThuFriSat"
	monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"
)

// AppendDate appends a Date field with t as an IMF-fixdate (RFC 9110, sections
// 5.6.7 and 6.6.1), for example
//
//	Date: Sun, 06 Nov 1994 08:49:37 GMT
//
// The year must be between 0 and 9999.
func AppendDate(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	weekday := 3 * int(t.Weekday())
	month = 3 * (month - 1)

	dst = append(dst, "Date: "...)
	dst = append(dst, dayNames[weekday:weekday+3]...)
	dst = append(dst, ", "...)
	dst = appendTwoDigits(dst, day)
	dst = append(dst, ' ')
	dst = append(dst, monthNames[month:month+3]...)
	dst = append(dst, ' ')
	dst = appendTwoDigits(dst, year/100)
	dst = appendTwoDigits(dst, year%100)
	dst = append(dst, ' ')
	dst = appendTwoDigits(dst, hour)
	dst = append(dst, ':')
	dst = appendTwoDigits(dst, minute)
	dst = append(dst, ':')
	dst = appendTwoDigits(dst, second)
	return append(dst, " GMT\r\n"...)
}

func appendTwoDigits(dst []byte, n int) []byte {
	return append(dst, '0'+byte(n/10), '0'+byte(n%10))
}
