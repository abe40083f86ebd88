<?php
// Behaves as the published PHP example does: Guzzle, which throws on 4xx and 5xx, and a tar of "./" that GNU tar makes
// (the example's archive library runs it). With --answers Guzzle hands out every answer instead.

require 'GuzzleHttp/autoload.php'; // Debian's package, on PHP's include path

$image = $argv[1];
$throws = ($argv[2] ?? '') !== '--answers';

file_put_contents('build/com.openfaas.docker.config', '{"image": "' . $image . '", "buildArgs" : {}}');
exec('tar --create --file=req.tar --directory=build ./', $output, $status);
if ($status != 0) {
    throw new Exception('tar failed');
}

$data = file_get_contents('req.tar');
$key = trim(file_get_contents('payload.txt'));
$client = new GuzzleHttp\Client(['http_errors' => $throws]);
$response = $client->post(getenv('BUILDER_URL') . '/build', [
    'body' => $data,
    'headers' => [
        'X-Build-Signature' => 'sha256=' . hash_hmac('sha256', $data, $key),
        'Content-Type' => 'application/octet-stream',
    ],
]);

$answer = json_decode($response->getBody(), true);
if ($response->getStatusCode() != 200) {
    print('Building image ' . $answer['image'] . ' failed' . PHP_EOL);
    print($answer['status'] . PHP_EOL);
} else {
    print('Success building image ' . $answer['image'] . PHP_EOL);
}
