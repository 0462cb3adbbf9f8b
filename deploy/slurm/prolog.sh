#!/bin/sh
# Prolog of slurmd (root, on each node of a job): leaves a note by which the agent names the job's run. It never fails a job.
notes=${JOULEBOOK_NOTES:-/run/joulebook/jobs}
{
    umask 022
    mkdir -p "$notes" &&
        env | grep -E '^SLURM_(JOB_ID|JOB_NAME|JOB_ACCOUNT|CLUSTER_NAME|ARRAY_JOB_ID|ARRAY_TASK_ID|HET_JOB_ID)=' \
            > "$notes/.slurm-$SLURM_JOB_ID" &&
        mv "$notes/.slurm-$SLURM_JOB_ID" "$notes/slurm-$SLURM_JOB_ID"
} 2> /dev/null
exit 0
