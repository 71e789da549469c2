<?php
// Verifies the assertion on standard input and prints the operator, or, with exit code 1, the status.
//   curl -s … | KOUBEI_ISSUER=https://isv.example/koubei php verify.php
declare(strict_types=1);

require __DIR__ . '/koubei.php';

$cache = getenv('KOUBEI_CACHE') ?: tempnam(sys_get_temp_dir(), 'koubei-keys-');
if (!getenv('KOUBEI_CACHE')) {
    register_shutdown_function(unlink(...), $cache);
}
$verifier = new Koubei\Verifier(getenv('KOUBEI_ISSUER'), $cache, getenv('KOUBEI_AUDIENCE') ?: null, getenv('KOUBEI_JWKS_URL') ?: null);
try {
    echo json_encode($verifier->operator(trim(stream_get_contents(STDIN)))), "\n";
} catch (Koubei\Refused $e) {
    echo json_encode(['status' => $e->status, 'why' => $e->getMessage()]), "\n";
    exit(1);
}
