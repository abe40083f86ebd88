"use strict";

const http = require("node:http");
const handle = require("./function/handler");

http.createServer((request, response) => response.end(handle(request.url))).listen(3000);
