<?php
namespace App;

class Handler
{
    public function handle(string $word): string
    {
        return strtoupper($word);
    }
}
