"""Pure. Mistakes in a function of each template in language_templates/, in its language's way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A mistake that the function's author made, the instruction that then fails, and what its tools say."""

    template: str
    files: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    instruction: str  # its first line
    exit_code: int | None
    says: tuple[str, ...]


NODE_PACKAGE = '{"name": "f", "version": "1.0.0", %s}'
PHP_NEEDS_EXTENSION = (
    '{"require": {"ext-imaginary": "*"}, "repositories": [{"packagist.org": false}]}'
)
PYTHON_HANDLER = """def handle(event):
    '''>>> handle(b"a")
    b'A'
    '''
    return event.lower()
"""
GO_HANDLER = "package function\n\nfunc Handle(word string) string {\n\treturn %s\n}\n"

# Instructions that fail in several ways.
GO_TEST = "RUN --mount=type=cache,target=/root/.cache/go-build \\"
GO_BUILD = "RUN --mount=type=cache,target=/go/pkg/mod \\"
GO_FORMAT = 'RUN unformatted=$(gofmt -l $(find . -name "*.go" -not -path "*/vendor/*")); \\'
PHP_COMPOSER = (
    "RUN if [ -f composer.lock ] || [ -f composer.json ]; then composer install --no-dev; fi"
)
PYTHON_TEST = (
    'RUN [ "${TEST_ENABLED}" = "false" ] && echo "skipping tests" || eval "${TEST_COMMAND}"'
)

MISTAKES = {
    "python: a requirement that nobody has": Mistake(
        template="python3-http",
        files={"function/requirements.txt": "no-such-package-of-ours==1.0\n"},
        instruction="RUN pip install --no-cache-dir --user \\",
        exit_code=1,
        says=("No matching distribution found for no-such-package-of-ours==1.0",),
    ),
    "python: a package that Debian does not have": Mistake(
        template="python3-http",
        config={"buildArgs": {"ADDITIONAL_PACKAGE": "no-such-package-of-ours"}},
        instruction='RUN if [ -n "${ADDITIONAL_PACKAGE}" ]; then \\',
        exit_code=100,
        says=("no-such-package-of-ours",),
    ),
    "python: a failing test, run as the target": Mistake(
        template="python3-http",
        files={"function/handler.py": PYTHON_HANDLER},
        config={"target": "test", "buildArgs": {"TEST_COMMAND": "python -m doctest handler.py"}},
        instruction=PYTHON_TEST,
        exit_code=1,
        says=("in handler.handle", "b'A'", "b'a'", "***Test Failed*** 1 failure"),
    ),
    "python: a syntax error": Mistake(
        template="python3-http",
        files={"function/handler.py": "def handle(event)\n    return event\n"},
        instruction='RUN python -c "import index"',
        exit_code=1,
        says=("def handle(event)", "SyntaxError: expected ':'"),
    ),
    "node: a dependency that cannot be had": Mistake(
        template="node",
        files={"function/package.json": NODE_PACKAGE % '"dependencies": {"no-such": "^1.0.0"}'},
        instruction="RUN npm i --omit=dev",
        exit_code=1,
        says=("ENOTCACHED", "no-such"),
    ),
    "node: a package.json that is no JSON": Mistake(
        template="node",
        files={"package.json": '{"name": "outer",}'},
        instruction="RUN npm i",
        exit_code=1,
        says=("EJSONPARSE",),
    ),
    "node: a failing test": Mistake(
        template="node",
        files={"function/handler.js": "module.exports = (word) => word;\n"},
        instruction="RUN npm test",
        exit_code=1,
        says=("handler.test.js:7:29", "actual: 'a'", "expected: 'A'"),
    ),
    "node: a syntax error": Mistake(
        template="node",
        files={"function/handler.js": "module.exports = (word => word;\n"},
        instruction="RUN npm test",
        exit_code=1,
        says=("handler.js:1", "SyntaxError: Unexpected token"),
    ),
    "go: code that is not formatted": Mistake(
        template="golang-middleware",
        files={"function/handler.go": (GO_HANDLER % "word + word").replace("\t", "  ")},
        instruction=GO_FORMAT,
        exit_code=1,
        says=("run gofmt -s -w on ./function/handler.go",),
    ),
    "go: a failing test": Mistake(
        template="golang-middleware",
        files={"function/handler.go": GO_HANDLER % "word"},
        instruction=GO_TEST,
        exit_code=1,
        says=("--- FAIL: TestHandleDoubles", 'Handle(a) = "a", want aa', "FAIL"),
    ),
    "go: a module that cannot be had": Mistake(
        template="golang-middleware",
        files={
            "function/go.mod": "module function\n\ngo 1.24\n\nrequire example.com/none v1.0.0\n",
            "function/handler.go": 'package function\n\nimport _ "example.com/none"\n',
        },
        config={"buildArgs": {"GOFLAGS": "-mod=mod"}},
        instruction=GO_TEST,
        exit_code=1,
        says=("example.com/none", "module lookup disabled by GOPROXY=off"),
    ),
    "go: a type error": Mistake(
        template="golang-middleware",
        files={"function/handler.go": GO_HANDLER % "len(word)"},
        instruction=GO_TEST,
        exit_code=1,
        says=("handler.go:4:9: cannot use len(word) (value of type int) as string value",),
    ),
    "go: a handler that the template cannot call": Mistake(
        template="golang-middleware",
        files={
            "function/handler.go": GO_HANDLER.replace("word string", "word []byte")
            % "string(word)",
            "function/handler_test.go": "package function\n",
        },
        instruction=GO_BUILD,
        exit_code=1,
        says=("main.go:6:26: cannot use", "as []byte value in argument to function.Handle"),
    ),
    "php: an extension that is not there": Mistake(
        template="php",
        files={"function/composer.json": PHP_NEEDS_EXTENSION},
        instruction=PHP_COMPOSER,
        exit_code=2,
        says=("ext-imaginary", "missing from your system"),
    ),
    "php: a syntax error": Mistake(
        template="php",
        files={"function/src/Handler.php": "<?php\nfunction handle( {\n"},
        instruction=PHP_COMPOSER,
        exit_code=255,
        says=("Parse error", "syntax error", "src/Handler.php"),
    ),
    "php: a script for extensions that fails": Mistake(
        template="php",
        files={"function/php-extension.sh": "echo no compiler for it >&2\nexit 7\n"},
        instruction="RUN if [ -f php-extension.sh ]; then \\",
        exit_code=7,
        says=("no compiler for it",),
    ),
    "ruby: a gem that is not there": Mistake(
        template="ruby",
        files={"function/Gemfile": 'gem "ours", path: "vendor/ours"\n'},
        instruction="RUN bundle install --local",
        exit_code=13,
        says=("/home/app/function/vendor/ours", "does not exist"),
    ),
    "ruby: a Gemfile that is no Ruby": Mistake(
        template="ruby",
        files={"Gemfile": "source 'https://rubygems.org\n"},
        instruction="RUN bundle install --local \\",
        exit_code=4,
        says=("There was an error parsing `Gemfile`",),
    ),
    "ruby: a syntax error": Mistake(
        template="ruby",
        files={"function/handler.rb": "class Handler\n  def run(word\nend\n"},
        instruction="RUN for file in *.rb; do \\",
        exit_code=1,
        says=("handler.rb", "SyntaxError"),
    ),
    "java: a broken download, in the middle of a long instruction": Mistake(
        template="java",
        files={"gradle-8.14.tar": "<html>not the archive</html>\n" * 40},
        instruction="RUN mkdir -p /opt/gradle-$GRADLE_VER && cd /opt/ \\",
        exit_code=2,
        says=("Unpacking gradle..", "This does not look like a tar archive"),
    ),
    "java: an archive without what it should bring": Mistake(
        template="java",
        files={"gradle-8.14.tar": "\0" * 10240},
        instruction="RUN gradle build",
        exit_code=127,
        says=("gradle: not found",),
    ),
    "dotnet: a project that .dockerignore leaves out": Mistake(
        template="dotnet",
        files={".dockerignore": "function/*.csproj\n"},
        instruction="COPY function/Function.csproj function/",
        exit_code=None,
        says=('"/function/Function.csproj": not found',),
    ),
    "dotnet: an image without the SDK": Mistake(
        template="dotnet",
        instruction="RUN dotnet restore Root.csproj",
        exit_code=127,
        says=("dotnet: not found",),
    ),
    "dockerfile: a line in a here-document": Mistake(
        template="dockerfile",
        files={"words": "one\nTwo\nthree\n"},
        instruction="RUN <<CHECK",
        exit_code=1,
        says=("checking one", "checking Two"),
    ),
    "dockerfile: the first program of a pipe": Mistake(
        template="dockerfile",
        files={"words": "two\none\n"},
        instruction="RUN sort --check words | tee /tmp/order",
        exit_code=1,
        says=("sort: words:2: disorder: one",),
    ),
}
