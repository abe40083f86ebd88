"use strict";

module.exports = (word) => word.toUpperCase();
