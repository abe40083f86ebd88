"use strict";

const assert = require("node:assert");
const { test } = require("node:test");
const handle = require("./handler");

test("shouts", () => assert.strictEqual(handle("a"), "A"));
