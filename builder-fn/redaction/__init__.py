"""Pure. Keeps the values of a build's secrets out of what anybody reads of the build.

    redactor    a text, or a stream of lines, with what must not be read taken out
    views       a text as a terminal, a URL's reader, or a parser of JSON or XML would see it
    index       where in a text any of many forms stands, or a long piece of one
    pieces      long pieces of long forms
    words       where in a text any of many words stands; where one stands alone
    many_words  where in a text any of very many words stands, in little memory
    sieve       where in a text a stretch of a few characters may stand that a form has
    numbered    the same for very many forms, with numpy
    in_turns    many things sorted while other threads go on
    forms       a secret as programs write it: plainly, in base64, in hexadecimal
    encoded     base64 and hexadecimal of a long value, of which only what is asked for is written out
    parts       what in a secret is secret even when it stands alone: its lines, tokens, passwords
    detection   what looks like a secret where nobody said that it is one: in build arguments

A secret is a whole file more often than a token (.npmrc, pip.conf, .netrc, a key in PEM), and a program
prints any part of it. So it is not enough to look for the value. What is never shown, for a value of four
characters and more without the white space around it:

- the value, wherever it stands, also if its lines are indented, joined, or broken at any width;
- each of its lines of eight characters or more; what it calls a password, token or secret, of six or more,
  as it stands there and as a parser hands it out: without the escapes of JSON, the entities of XML, the
  doubled quotes of YAML, the percents of a URL, the base64 of `auth`; what looks random, of sixteen or
  more; sixteen characters in a row of that are as good as all;
- any of these in hexadecimal and in base64 of either alphabet, at any place within a longer text that was
  encoded, wrapped at any width;
- any of these percent-encoded, with backslash escapes (JSON, Go, Python, a shell's quotes) or with
  entities (XML, HTML), in any dialect: there the text is decoded rather than the secret encoded;
- any of these with colours or other control characters in between.

A password's name is known by its words (detection). It stands before `=`, `:`, a space in a .netrc,
or `>` and an element's content, or is the key of NuGet.config's key and value. Outside of quotes and
elements its value ends at a space, a quote or an angle bracket. What looks like a switch, a path, a URL or
a reference, as `true` and `${TOKEN}` do, is no password, and a plain word behind `auth` or `token` is none.
Of a file within a file, what is in quotes is read if it has no escapes; of escapes within escapes, the
outer ones and a URL's are taken off.

Other words of a value, its hosts and keywords above all, stay readable. A value of one to three characters
is no secret that a log could give away, and half the log if taken out of every word: it disappears where it
stands alone, between characters that are neither letters nor digits. An empty value is none.

Of a value broken over lines behind other text, two characters at the end of the first may be read. Of one
of more than 32 KiB, or of all if they have more than 64 KiB together, pieces of less than 48 encoded
characters are not recognised; of the short lines of all, and of what a parser makes of their passwords, the
first thousands are looked for encoded. In an output full of pieces of secrets, what is between them
disappears as well. Nor is, of any, what a program itself makes unreadable (compressed,
encrypted, hashed, reversed), or a dump that puts something between the bytes (`xxd` without -p). A build
that wants to give away its secret can.

Text has to come here before it is cut short: a value without its end is not always recognised.
"""

from .redactor import REDACTED, RedactedLines, Redactor

NOTHING_SECRET = Redactor(())

__all__ = ["NOTHING_SECRET", "REDACTED", "RedactedLines", "Redactor"]
