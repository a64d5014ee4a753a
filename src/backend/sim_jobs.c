/* SPDX-License-Identifier: MIT */
/* Design notes: a job runs on the loop's thread, from start to end within one wait(), in no virtual time. So
 * a program that uses threads for blocking calls only is as reproducible as one that uses none. */
#include "backend/sim.h"

enum job_state { IDLE, PENDING, BEGUN };

int aw_sim_job_submit(struct aw_backend *backend, struct aw_job *job)
{
    struct aw_sim *sim = aw_sim_from_base(backend);

    if (sim->jobs_stopped)
        return -EAGAIN;
    job->state = PENDING;
    aw_list_append(&sim->jobs, &job->link);
    return 0;
}

int aw_sim_job_cancel(struct aw_backend *backend, struct aw_job *job)
{
    (void)backend;
    if (job->state != PENDING)
        return 0;
    job->state = IDLE;
    aw_list_remove(&job->link);
    return 1;
}

/* Any of them, by the seed. Counted anew each time: done() of another one may have cancelled some. */
static struct aw_job *take(struct aw_sim *sim, struct aw_list *batch)
{
    struct aw_list *node;
    uint32_t count = 0, chosen;

    for (node = batch->next; node != batch; node = node->next)
        count++;
    chosen = aw_sim_random(sim, count);
    for (node = batch->next; chosen > 0; chosen--)
        node = node->next;
    aw_list_remove(node);
    return AW_LIST_ENTRY(node, struct aw_job, link);
}

void aw_sim_run_jobs(struct aw_sim *sim)
{
    struct aw_list batch;

    /* What these submit has its turn in the next wait(). */
    aw_list_init(&batch);
    aw_list_splice(&batch, &sim->jobs);
    while (!aw_list_is_empty(&batch)) {
        struct aw_job *job = take(sim, &batch);

        job->state = BEGUN;
        job->work(job);
        job->done(job); /* may free it, submit others, cancel one of the batch */
    }
}

void aw_sim_drop_jobs(struct aw_sim *sim)
{
    struct aw_list *node;

    while ((node = aw_list_pop(&sim->jobs))) {
        struct aw_job *job = AW_LIST_ENTRY(node, struct aw_job, link);

        job->state = BEGUN;
        job->done(job);
    }
}
