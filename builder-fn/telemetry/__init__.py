"""Metrics and log lines for the operator.

build_report    a build that ended, as values
log_lines       the log: one line of JSON each
version         which builder this is
metrics         Prometheus' metrics
tenant_metrics  those of each tenant
"""
