use futures_util::AsyncReadExt;
use larder::storage::Storage;
use mongodb::bson::{Bson, doc};
use mongodb::options::GridFsBucketOptions;

use crate::server::Scratch;
use crate::{head, key, store};

#[tokio::test]
async fn a_large_body_is_a_file_for_every_gridfs_tool() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    let storage = scratch.gridfs().connect().await.unwrap();
    let options = GridFsBucketOptions::builder().bucket_name("larder".to_owned()).build();
    let bucket = scratch.database().await.gridfs_bucket(options);
    // A whole number of chunks, and a rest.
    for len in [255 * 1024 * 4, 1_000_000] {
        let body: Vec<u8> = (0..len).map(|at| (at * 31 % 251) as u8).collect();
        let head = head("report", "text/csv");
        let _ = store(&storage, head.clone(), &body).await.unwrap();
        let file = bucket.find_one(doc! { "filename": "https://example.com/report" }).await.unwrap().unwrap();
        assert_eq!((file.length, file.chunk_size_bytes), (len as u64, 255 * 1024));
        assert_eq!(file.id, Bson::String(head.id.to_string()));
        let mut read = Vec::new();
        let mut stream = bucket.open_download_stream(file.id).await.unwrap();
        stream.read_to_end(&mut read).await.unwrap();
        assert!(read == body, "the driver's own GridFS reads it");
        let files = scratch.collection("larder.files").await;
        assert_eq!(files.count_documents(doc! {}).await.unwrap(), 1, "the replaced one's file is gone");
    }
    storage.remove(&key("report")).await.unwrap();
    for collection in ["larder.files", "larder.chunks"] {
        assert_eq!(scratch.collection(collection).await.count_documents(doc! {}).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn files_of_others_in_the_bucket_are_never_touched() {
    let Some(scratch) = Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    let storage = scratch.gridfs().bucket("fs").connect().await.unwrap();
    let bucket = scratch.database().await.gridfs_bucket(None);
    let mut upload = bucket.open_upload_stream("foreign").await.unwrap();
    futures_util::AsyncWriteExt::write_all(&mut upload, &[1; 600_000]).await.unwrap();
    futures_util::AsyncWriteExt::close(&mut upload).await.unwrap();
    let _ = store(&storage, head("mine", "text/plain"), &[2; 200_000]).await.unwrap();
    storage.clear(None).await.unwrap();
    storage.maintain(larder::clock::Timestamp::from_secs(4_000_000_000)).await.unwrap();
    let mut read = Vec::new();
    let mut stream = bucket.open_download_stream_by_name("foreign").await.unwrap();
    stream.read_to_end(&mut read).await.unwrap();
    assert_eq!(read.len(), 600_000);
}
