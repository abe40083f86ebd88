<?php
require 'function/vendor/autoload.php';
echo (new App\Handler())->handle(file_get_contents('php://stdin'));
