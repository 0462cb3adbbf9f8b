#!/bin/sh
# Epilog of slurmd: takes the note away once the job is over. It never drains a node.
rm -f "${JOULEBOOK_NOTES:-/run/joulebook/jobs}/slurm-$SLURM_JOB_ID" 2> /dev/null
exit 0
