#!/bin/bash
# Runs a test binary whole, under the limits that the environment sets.
unset TEST_SHARD_INDEX TEST_TOTAL_SHARDS XML_OUTPUT_FILE GTEST_OUTPUT
echo "SLUICE_CPU_ISA=$SLUICE_CPU_ISA ONEDNN_MAX_CPU_ISA=$ONEDNN_MAX_CPU_ISA"
exec "$1"
