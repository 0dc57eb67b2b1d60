use super::*;

use std::sync::atomic::AtomicBool;

/// At the priority of all: where other programs want all of the time, threads of `SCHED_IDLE` may get none for minutes.
fn at_once(cores: usize) -> HashWorkers {
    HashWorkers::start(cores, || Ok(()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_the_cores_compute_and_the_queue_is_bounded() {
    let workers = Arc::new(at_once(2));
    let (go, wait) = mpsc::channel::<()>();
    let wait = Arc::new(std::sync::Mutex::new(wait));
    let computing = Arc::new(AtomicBool::new(false));
    let jobs: Vec<_> = (0..=HashWorkers::QUEUE)
        .map(|_| {
            let (workers, wait, computing) =
                (Arc::clone(&workers), Arc::clone(&wait), Arc::clone(&computing));
            tokio::spawn(async move {
                workers
                    .run(move || {
                        assert!(!computing.swap(true, Ordering::SeqCst), "two at a time");
                        let _ = wait.lock().unwrap().recv();
                        computing.store(false, Ordering::SeqCst);
                    })
                    .await
            })
        })
        .collect();
    let full = HashLoad { running: 1, waiting: HashWorkers::QUEUE, rejected: 0 };
    while workers.load() != full {
        tokio::task::yield_now().await;
    }
    assert_eq!(workers.run(|| ()).await, Err(Busy));
    drop(go);
    for job in jobs {
        assert_eq!(job.await.unwrap(), Ok(()));
    }
    assert_eq!((workers.load().waiting, workers.load().rejected), (0, 1));
    assert_eq!(workers.run(|| 7).await, Ok(7));
}

#[tokio::test]
async fn one_core_is_enough_and_a_panic_frees_it() {
    let workers = at_once(1);
    assert_eq!(workers.run(|| panic!("on purpose")).await, Err::<(), _>(Busy));
    assert_eq!(workers.run(|| 7).await, Ok(7));
}

#[tokio::test]
async fn checks_yield_to_requests() {
    let before = priority::of_this_thread();
    let workers = HashWorkers::new(1);
    let within = workers.run(priority::of_this_thread).await.unwrap();
    // Where the policy may not be changed, the nice value may.
    assert!(within.policy == libc::SCHED_IDLE || within.nice == 19, "{within:?}");
    assert_eq!(priority::of_this_thread(), before, "of that thread alone");
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_begun() {
    let workers = at_once(1);
    let (go, wait) = mpsc::channel::<()>();
    let begun = Arc::new(AtomicBool::new(false));
    let first = workers.run(move || wait.recv().is_err());
    let given_up = workers.run({
        let begun = Arc::clone(&begun);
        move || begun.store(true, Ordering::SeqCst)
    });
    let mut first = Box::pin(first);
    assert!(futures_util::poll!(&mut first).is_pending());
    let mut given_up = Box::pin(given_up);
    assert!(futures_util::poll!(&mut given_up).is_pending());
    drop(given_up);
    drop(go);
    assert_eq!(first.await, Ok(true));
    assert_eq!(workers.run(|| 7).await, Ok(7));
    assert!(!begun.load(Ordering::SeqCst));
}
