module github.com/openfaas/builder-fn/tests/stand_in_watchdog

go 1.22
