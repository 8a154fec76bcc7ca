# The machine's own settings for the tests' VM, as a user has them in ~/.vagrant.d/Vagrantfile.
Vagrant.configure("2") do |config|
  config.vm.boot_timeout = 900
  config.vm.box_check_update = false
  config.vm.provider "libvirt" do |vm|
    vm.driver = ENV.fetch("PROVISION_TEST_DRIVER")
    if vm.driver == "qemu"
      vm.cpu_mode = "custom"
      vm.cpu_model = "qemu64"
    end
    vm.storage_pool_name = "provision-test"
    vm.management_network_name = "provision-test"
    vm.management_network_address = "192.168.213.0/24"
    vm.graphics_type = "none"
    vm.video_type = "none"
  end
end
