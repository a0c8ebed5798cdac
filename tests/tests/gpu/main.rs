//! GPUs, sampled: a library answers NVML's calls, a tree of files is amdgpu's, and where there is a
//! real GPU, `nvidia-smi` says what is right.

#[cfg(target_os = "linux")]
mod amd;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod machine;
#[cfg(target_os = "linux")]
mod nvidia;
#[cfg(target_os = "linux")]
mod smi;
