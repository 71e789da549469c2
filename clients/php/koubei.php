<?php
// Which Koubei operator a request comes from, by the assertion in the header X-Koubei-Assertion.
// Needs PHP 8.1 with openssl and sodium. License: Apache-2.0
declare(strict_types=1);

namespace Koubei;

/** A request that may not pass: 401 nobody is signed in, 403 somebody may not pass, 503 could not find out. */
final class Refused extends \RuntimeException
{
    public function __construct(public readonly int $status, string $message)
    {
        parent::__construct($message);
    }
}

/** The person who sent a request. partnerId is null if Koubei named no merchant; shopIds may be "overflow". */
final class Operator
{
    public function __construct(
        public readonly string $operatorId,
        public readonly string $operatorType,
        public readonly ?string $partnerId,
        public readonly ?string $shopIds,
        public readonly string $appId,
        public readonly int $until, // Unix time at which the assertion ends
    ) {
    }
}

/** Verifies assertions. It caches the keys in a file that only this user may write, because PHP forgets them after each request. */
final class Verifier
{
    /** The operator types that Koubei documents. It may send others. */
    public const DOCUMENTED_TYPES = ['PROVIDER', 'PROVIDER_STAFF', 'MER', 'MER_STAFF', 'SALES'];

    private const FRESH = 300; // seconds that keys are used without a refresh
    private const MAX_STALE = 3600; // seconds that they are used after that, while the service does not answer
    private const COOLDOWN = 10; // seconds between two fetches
    private const TIMEOUT = 3.0; // seconds, of a fetch
    private const KNOWN_KEY_WAIT = 0.25; // seconds that a request waits for a refresh although it has the key
    private const LEEWAY = 5; // seconds that two clocks may differ

    private readonly string $audience;
    private readonly string $jwksUrl;

    /** $issuer is exactly the service's PUBLIC_URL; $audience is your entry in its ASSERTION_AUDIENCE. $cacheFile lies where nobody else may write. */
    public function __construct(private readonly string $issuer, private readonly string $cacheFile, ?string $audience = null, ?string $jwksUrl = null)
    {
        $this->audience = $audience ?? $issuer;
        $this->jwksUrl = $jwksUrl ?? rtrim($issuer, '/') . '/.well-known/jwks.json';
    }

    /**
     * Returns the operator in an assertion, who may pass. Throws Refused.
     *
     * @param list<string> $types the operator types allowed
     * @param ?string $partnerId the partner that the request is about, '' for the entry for which Koubei named none
     */
    public function operator(?string $assertion, array $types = self::DOCUMENTED_TYPES, ?string $partnerId = null): Operator
    {
        $claims = $this->verified($assertion ?? '');
        if (!in_array($claims['operator_type'], $types, true)) {
            throw new Refused(403, 'this operator type is not allowed');
        }
        // A page about one merchant must not act for the merchant of another tab.
        if ($partnerId !== null && $partnerId !== ($claims['partner_id'] ?? '')) {
            throw new Refused(403, 'another partner');
        }
        return new Operator($claims['sub'], $claims['operator_type'], $claims['partner_id'], $claims['shop_ids'] ?? null, $claims['app_id'], (int) $claims['exp']);
    }

    /** @return array<string, mixed> */
    private function verified(string $assertion): array
    {
        $parts = explode('.', $assertion);
        if (count($parts) !== 3 || strlen($assertion) > 8192) {
            throw new Refused(401, 'no assertion');
        }
        $header = self::decode($parts[0]);
        if (strcasecmp(self::text($header, 'typ'), 'JWT') !== 0 || isset($header['crit'])) {
            throw new Refused(401, 'not an assertion');
        }
        $key = $this->key(self::text($header, 'kid'));
        // The key decides the algorithm. The header may be forged.
        if (self::text($header, 'alg') !== self::algorithm($key)) {
            throw new Refused(401, "not its key's algorithm");
        }
        if (!self::signed($key, "$parts[0].$parts[1]", self::bytes($parts[2]))) {
            throw new Refused(401, 'wrong signature');
        }
        $claims = self::decode($parts[1]);
        $this->check($claims);
        return $claims;
    }

    /** @param array<string, mixed> $claims */
    private function check(array $claims): void
    {
        foreach (['sub', 'app_id', 'operator_type'] as $name) {
            if (self::text($claims, $name) === '') {
                throw new Refused(401, 'a claim is missing');
            }
        }
        $partner = $claims['partner_id'] ?? null;
        $number = fn (string $name): bool => is_int($claims[$name] ?? null) || is_float($claims[$name] ?? null);
        if (!$number('iat') || !$number('exp') || isset($claims['nbf']) && !$number('nbf') || !array_key_exists('partner_id', $claims) || $partner !== null && !is_string($partner)) {
            throw new Refused(401, 'a claim is missing');
        }
        if (($claims['iss'] ?? null) !== $this->issuer || !in_array($this->audience, (array) ($claims['aud'] ?? []), true)) {
            throw new Refused(401, 'from another issuer, or meant for another audience');
        }
        if (time() >= $claims['exp'] + self::LEEWAY || $claims['iat'] > time() + self::LEEWAY || ($claims['nbf'] ?? 0) > time() + self::LEEWAY) {
            throw new Refused(401, 'expired, or from the future');
        }
    }

    /** Returns the key with an id. @return array<string, mixed> */
    private function key(string $id): array
    {
        $cache = json_decode((string) @file_get_contents($this->cacheFile), true) ?: ['keys' => [], 'loaded' => 0, 'tried' => 0];
        $known = isset($cache['keys'][$id]) && time() < $cache['loaded'] + self::FRESH + self::MAX_STALE;
        if ((!$known || time() >= $cache['loaded'] + self::FRESH) && time() >= $cache['tried'] + self::COOLDOWN) {
            $cache['tried'] = time();
            $this->store($cache); // so that other requests do not fetch too
            $keys = $this->fetch($known ? self::KNOWN_KEY_WAIT : self::TIMEOUT);
            if ($keys !== null) {
                $cache = ['keys' => $keys, 'loaded' => $cache['tried'], 'tried' => $cache['tried']];
                $this->store($cache);
            }
        }
        if (isset($cache['keys'][$id]) && time() < $cache['loaded'] + self::FRESH + self::MAX_STALE) {
            return $cache['keys'][$id];
        }
        throw $cache['loaded'] < $cache['tried'] ? new Refused(503, 'the keys are unavailable') : new Refused(401, 'signed with a key that is not published');
    }

    /** @param array<string, mixed> $cache */
    private function store(array $cache): void
    {
        $new = $this->cacheFile . '.' . getmypid();
        if (@file_put_contents($new, json_encode($cache)) !== false) {
            chmod($new, 0600);
            rename($new, $this->cacheFile);
        }
    }

    /** Returns the keys that may sign assertions, by id; null if they are unavailable. @return ?array<string, mixed> */
    private function fetch(float $timeout): ?array
    {
        $context = stream_context_create(['http' => ['timeout' => $timeout, 'follow_location' => 0, 'ignore_errors' => false]]);
        $set = json_decode((string) @file_get_contents($this->jwksUrl, false, $context, 0, 262144), true);
        if (!is_array($set['keys'] ?? null)) {
            return null;
        }
        $keys = [];
        foreach ($set['keys'] as $key) {
            if (is_array($key) && self::algorithm($key) !== null && self::text($key, 'kid') !== '' && !isset($key['d'])) {
                $keys[$key['kid']] = $key;
            }
        }
        return $keys;
    }

    /** @param array<string, mixed> $key */
    private static function algorithm(array $key): ?string
    {
        $algorithm = ['EC P-256' => 'ES256', 'OKP Ed25519' => 'EdDSA'][self::text($key, 'kty') . ' ' . self::text($key, 'crv')] ?? null;
        return ($key['use'] ?? 'sig') === 'sig' && ($key['alg'] ?? $algorithm) === $algorithm ? $algorithm : null;
    }

    /** @param array<string, mixed> $key */
    private static function signed(array $key, string $text, string $signature): bool
    {
        $x = self::bytes(self::text($key, 'x'));
        if (strlen($signature) !== 64 || strlen($x) !== 32) {
            return false;
        }
        if ($key['kty'] === 'OKP') {
            return sodium_crypto_sign_verify_detached($signature, $text, $x);
        }
        // SubjectPublicKeyInfo of a P-256 key (RFC 5480), and the signature as DER.
        $spki = hex2bin('3059301306072a8648ce3d020106082a8648ce3d030107034200') . "\x04" . $x . self::bytes(self::text($key, 'y'));
        $pem = "-----BEGIN PUBLIC KEY-----\n" . chunk_split(base64_encode($spki), 64) . "-----END PUBLIC KEY-----\n";
        $der = '';
        foreach (str_split($signature, 32) as $number) {
            $number = ltrim($number, "\0");
            $number = $number === '' || ord($number[0]) > 127 ? "\0" . $number : $number;
            $der .= "\x02" . chr(strlen($number)) . $number;
        }
        return openssl_verify($text, "\x30" . chr(strlen($der)) . $der, $pem, OPENSSL_ALGO_SHA256) === 1;
    }

    /** @return array<string, mixed> */
    private static function decode(string $part): array
    {
        $value = json_decode(self::bytes($part), true);
        return is_array($value) ? $value : throw new Refused(401, 'not a JWT');
    }

    private static function bytes(string $base64url): string
    {
        return (string) base64_decode(strtr($base64url, '-_', '+/'), true);
    }

    /** @param array<string, mixed> $values */
    private static function text(array $values, string $name): string
    {
        return is_string($values[$name] ?? null) ? $values[$name] : '';
    }
}
