// Package function doubles.
package function

// Handle doubles a word.
func Handle(word string) string {
	return word + word
}
